"""What clients speak: each dialect reads its requests into a chat and writes a chat's answer."""
