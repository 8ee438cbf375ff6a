import { ServerResponse } from 'node:http';
import type { FastifyReply } from './write-answer.js';

const { write, end, writeHead } = ServerResponse.prototype;

/** Whether somebody stands between a response and the wire: he may add fields, and write to the bytes that he is given. */
export function isWrapped(response: ServerResponse): boolean {
  return response.end !== end || response.write !== write || response.writeHead !== writeHead;
}

/** By which Fastify keeps what it knows of the route; looked for once. */
let ofRoute: symbol | undefined;

/** Whether hooks are given what a reply sends. If Fastify does not show it as it does today, there may be some. */
export function isHooked({ request }: FastifyReply): boolean {
  const route = ofRoute === undefined ? undefined : request[ofRoute];
  if (route !== undefined) return route.onSend !== null;
  ofRoute = Object.getOwnPropertySymbols(request).find(({ description }) => description === 'fastify.context');
  return ofRoute === undefined || request[ofRoute]?.onSend !== null;
}
