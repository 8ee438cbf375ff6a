import 'reflect-metadata';
import { METHODS } from 'node:http';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppModule } from './app.module.js';
import { Origin } from './origin.js';

const adapter = new FastifyAdapter();
const server = adapter.getInstance();
// Fastify knows the common ones; a proxy has no say in methods. CONNECT has no target to forward.
for (const method of METHODS) {
  if (method !== 'CONNECT' && !server.supportedMethods.includes(method))
    server.addHttpMethod(method, { hasBody: true });
}
// Bodies of any type go through unread.
server.removeAllContentTypeParsers();
server.addContentTypeParser('*', (_request, _payload, done) => done(null));

const app = await NestFactory.create<NestFastifyApplication>(AppModule, adapter, {
  bodyParser: false,
  logger: ['error', 'warn'],
});
app.enableShutdownHooks([], { useProcessExit: true });
await app.listen(Number(process.env.PORT || 3000), process.env.HOST || '0.0.0.0');

const { port } = app.getHttpServer().address() as { port: number };
const url = `http://localhost:${port}`;
console.log(`
Proxy on ${url} in front of ${app.get(Origin).url.origin} (ORIGIN). The header cache-status tells what the cache did.

  curl -i ${url}/
`);
