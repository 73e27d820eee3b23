import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { NodeSDK } from '@opentelemetry/sdk-node'
import { createOpenAI } from '@ai-sdk/openai'
import { generateText, stepCountIs, tool } from 'ai'
import { z } from 'zod'

const url = process.env.SERVER_URL
const sdk = new NodeSDK({ traceExporter: new OTLPTraceExporter({ url: `${url}/v1/traces` }) })
sdk.start()
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: 'x' })
await generateText({
  model: openai.chat('gpt-4o-mini'),
  prompt: 'QUESTION-11: which shelf holds the part?',
  tools: {
    find_shelf: tool({
      description: 'Finds the shelf',
      inputSchema: z.object({ part: z.string() }),
      execute: async () => 'SHELF-17',
    }),
  },
  stopWhen: stepCountIs(3),
  experimental_telemetry: { isEnabled: true, metadata: { sessionId: 's-1' } },
})
await sdk.shutdown()
