// What OpenAI's SDK for Node is made to do: `node openai_client.mjs CASE`. Prints one line of JSON.
// OPENAI_BASE_URL and OPENAI_API_KEY lead to the proxy, MODEL is what it calls the model, and NODE_MODULES is the folder
// that the SDK is in.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { OpenAI } = require("openai");
const client = new OpenAI();
const model = process.env.MODEL;
const messages = [{ role: "user", content: "How is the weather in Hà Nội?" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", function: { name: "get_weather", parameters } }];

const cases = {
  async chat() {
    const reply = await client.chat.completions.create({ model, messages });
    return { answer: reply.choices[0].message.content };
  },
  async stream() {
    const pieces = [];
    for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
      if (chunk.choices[0]?.delta?.content) pieces.push(chunk.choices[0].delta.content);
    }
    return { pieces };
  },
  async tools() {
    const asked = (await client.chat.completions.create({ model, messages, tools })).choices[0].message;
    const [call] = asked.tool_calls;
    const content = `sunny in ${JSON.parse(call.function.arguments).city}`;
    const result = { role: "tool", tool_call_id: call.id, content };
    const reply = await client.chat.completions.create({ model, messages: [...messages, asked, result], tools });
    return { answer: reply.choices[0].message.content };
  },
  async embeddings() {
    const reply = await client.embeddings.create({ model: "maas/qwen/qwen3-embedding-8b", input: ["xin", "chào"] });
    return { answer: `${reply.data.length} of ${reply.data[0].embedding.length}` };
  },
  async responses() {
    const reply = await client.responses.create({ model, input: "Xin chào" });
    const pieces = [];
    for await (const event of await client.responses.create({ model, input: "Xin chào", stream: true })) {
      if (event.type === "response.output_text.delta") pieces.push(event.delta);
    }
    return { answer: reply.output_text, pieces };
  },
};

console.log(JSON.stringify(await cases[process.argv[2]]()));
