import { PassThrough, pipeline } from 'node:stream';
import { All, Controller, Req, Res, StreamableFile } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { byUrl, CachePage } from 'nestjs-tiered-cache';
import { endToEnd } from './message-fields.js';
import { Origin } from './origin.js';

/** An origin that names no content type says so; Nest would name one. */
class OriginBody extends StreamableFile {
  override getHeaders(): ReturnType<StreamableFile['getHeaders']> {
    return { ...super.getHeaders(), type: undefined as never };
  }
}

const WITHOUT_CONTENT = new Set([204, 304]);

@Controller()
export class ProxyController {
  constructor(private readonly origin: Origin) {}

  /** Any method, any path. Response headers decide what is kept, for how long and for whom (RFC 9111). */
  @All('*')
  @CachePage({
    mode: 'rfc',
    // The request target as it came: to an origin that we do not know, `?a&b` and `?b&a` are two resources.
    key: [byUrl()],
    // What the origin reads we cannot see; its Vary says so.
    autoVary: false,
    maxBytes: 16 * 1024 * 1024,
    // When the origin is out of reach, unless it forbids that (must-revalidate, s-maxage ...).
    staleIfError: '1d',
  })
  async forward(
    @Req() { raw }: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<StreamableFile | undefined> {
    const response = await this.origin.forward(raw, reply.raw);
    const status = response.statusCode as number;
    reply.raw.statusCode = status;
    reply.raw.statusMessage = response.statusMessage as string;
    reply.headers(endToEnd(response.rawHeaders));
    if (raw.method !== 'HEAD' && !WITHOUT_CONTENT.has(status)) {
      // Not the message itself: it has a status of its own, by which Nest would take it for an error object.
      return new OriginBody(pipeline(response, new PassThrough(), () => undefined));
    }
    response.resume();
    return undefined;
  }
}
