// The least of an agent on OpenAI's Node SDK: `sdk_agent.mjs chat|responses [--resume] TEXT`.
// The folder of the packages is told by MODULES. Both APIs get the whole history.

import { execSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.MODULES}/`);
const { OpenAI } = require("openai");
const { ProxyAgent } = require("undici");

const MODEL = "gpt-4o-mini";
const HISTORY = "history.json";
const SHELL = {
  name: "shell",
  parameters: { type: "object", properties: { command: { type: "string" } } },
};

const proxy = process.env.HTTPS_PROXY;
const client = new OpenAI(proxy ? { fetchOptions: { dispatcher: new ProxyAgent(proxy) } } : {});
const run = (argumentsText) => execSync(JSON.parse(argumentsText).command).toString();

async function chat(messages) {
  for (;;) {
    const tools = [{ type: "function", function: SHELL }];
    const stream = client.chat.completions.stream({ model: MODEL, messages, tools });
    const { message } = (await stream.finalChatCompletion()).choices[0];
    messages.push(message);
    if (!message.tool_calls?.length) return message.content;
    for (const { id, function: called } of message.tool_calls) {
      messages.push({ role: "tool", tool_call_id: id, content: run(called.arguments) });
    }
  }
}

async function responses(input) {
  for (;;) {
    const tools = [{ type: "function", ...SHELL }];
    const response = await client.responses.create({ model: MODEL, input, tools, store: false });
    input.push(...response.output);
    const calls = response.output.filter((item) => item.type === "function_call");
    if (!calls.length) return response.output_text;
    for (const { call_id, arguments: given } of calls) {
      input.push({ type: "function_call_output", call_id, output: run(given) });
    }
  }
}

const [api, ...rest] = process.argv.slice(2);
const history = rest.length > 1 && existsSync(HISTORY) ? JSON.parse(readFileSync(HISTORY)) : [];
history.push({ role: "user", content: rest.at(-1) });
console.log(await { chat, responses }[api](history));
writeFileSync(HISTORY, JSON.stringify(history));
