import { Agent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { BadGatewayException, GatewayTimeoutException, HttpException, Injectable } from '@nestjs/common';
import type { OnApplicationShutdown } from '@nestjs/common';
import { endToEnd } from './message-fields.js';

const SILENCE_MS = 30_000;
/** Shorter than what servers commonly grant (5 s), so that no connection is taken up that is just being closed. */
const IDLE_MS = 4_000;

const CLOSED: ReadonlySet<string | undefined> = new Set(['ECONNRESET', 'EPIPE']);

/** The server that this one stands in front of: `ORIGIN`. */
@Injectable()
export class Origin implements OnApplicationShutdown {
  readonly url = new URL(process.env.ORIGIN || 'http://127.0.0.1:8000');
  private readonly isSecure = this.url.protocol === 'https:';
  private readonly agent = this.isSecure
    ? new HttpsAgent({ keepAlive: true, timeout: IDLE_MS })
    : new Agent({ keepAlive: true, timeout: IDLE_MS });
  private readonly prefix = this.url.pathname.replace(/\/$/, '');

  /**
   * Sends a request on, byte for byte; resolves when status and fields of the final response are here, its body still to come.
   * Interim responses go to the client at once.
   * @throws BadGatewayException if the origin cannot be reached, GatewayTimeoutException if it says nothing for 30 s
   */
  async forward(request: IncomingMessage, client: ServerResponse): Promise<IncomingMessage> {
    const headers = this.headersFor(request);
    const isEmpty = headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
    const send = (agent: Agent | false): Promise<IncomingMessage> =>
      new Promise((resolve, reject) => {
        const sent = this.open(request, headers, agent);
        const leave = (): unknown => sent.destroy();
        client.once('close', leave);
        sent.once('close', () => client.off('close', leave));
        sent.once('response', (response) => {
          client.off('close', leave);
          resolve(response);
        });
        sent.once('error', (error: NodeJS.ErrnoException) => {
          // The origin closed an idle connection just as it was taken up again (RFC 9112 9.3.1): once more, by a new one.
          if (agent && isEmpty && sent.reusedSocket && CLOSED.has(error.code)) resolve(send(false));
          else reject(error instanceof HttpException ? error : new BadGatewayException('the origin cannot be reached'));
        });
        sent.setTimeout(SILENCE_MS, () => sent.destroy(new GatewayTimeoutException('the origin says nothing')));
        sent.on('information', (interim) => passOn(interim.statusCode, endToEnd(interim.rawHeaders), client));
        if (isEmpty) sent.end();
        else request.pipe(sent);
      });
    // A body can be sent once, so never by a connection that the origin may be closing.
    return send(isEmpty && this.agent);
  }

  onApplicationShutdown(): void {
    this.agent.destroy();
  }

  private open({ method, url }: IncomingMessage, headers: OutgoingHttpHeaders, agent: Agent | false): ClientRequest {
    const send = this.isSecure ? httpsRequest : httpRequest;
    const { hostname, port } = this.url;
    return send({ hostname: hostname.replace(/^\[|\]$/g, ''), port, method, path: this.prefix + url, headers, agent });
  }

  private headersFor(request: IncomingMessage): OutgoingHttpHeaders {
    const headers: OutgoingHttpHeaders = endToEnd(request.rawHeaders);
    // `100 Continue` was sent when the request came in.
    delete headers.expect;
    const { 'transfer-encoding': transferEncoding, host } = request.headers;
    if (transferEncoding !== undefined) headers['transfer-encoding'] = 'chunked';
    const { remoteAddress } = request.socket;
    headers['x-forwarded-for'] = [...[headers['x-forwarded-for'] ?? []].flat(), remoteAddress ?? 'unknown'].join(', ');
    headers['x-forwarded-proto'] = 'http';
    if (host !== undefined) headers['x-forwarded-host'] = host;
    headers.via = [...[headers.via ?? []].flat(), `${request.httpVersion} tiered-cache`].join(', ');
    return { ...headers, host: this.url.host };
  }
}

/** Node can send no other interim responses than these two. */
function passOn(status: number, fields: Record<string, string | string[]>, client: ServerResponse): void {
  if (client.headersSent || client.req.httpVersion === '1.0') return;
  if (status === 102) client.writeProcessing();
  else if (status === 103) client.writeEarlyHints(fields);
}
