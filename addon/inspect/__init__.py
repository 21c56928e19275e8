"""What people see of an exchange: annotations, views, commands of mitmproxy's own interfaces."""
