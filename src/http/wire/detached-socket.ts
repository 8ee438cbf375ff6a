import { Duplex } from 'node:stream';

/** What the application may read from the connection of a detached request. */
export interface DetachedPeer {
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly encrypted: boolean;
}

/** A connection that leads nowhere: what is written is discarded, nothing is ever read. */
export class DetachedSocket extends Duplex {
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly remoteFamily: string | undefined;
  readonly localAddress = '127.0.0.1';
  readonly localPort = 0;
  readonly encrypted: boolean;

  constructor(peer: DetachedPeer) {
    // Never full: Node's server is not there to tell the response that it has drained.
    super({ writableHighWaterMark: Number.MAX_SAFE_INTEGER });
    this.remoteAddress = peer.remoteAddress;
    this.remotePort = peer.remotePort;
    this.remoteFamily = peer.remoteAddress?.includes(':') ? 'IPv6' : 'IPv4';
    this.encrypted = peer.encrypted;
  }

  override _read(): void {}

  override _write(_chunk: unknown, _encoding: BufferEncoding, done: () => void): void {
    done();
  }

  override _writev(_chunks: unknown, done: () => void): void {
    done();
  }

  address(): { address: string; port: number; family: string } {
    return { address: this.localAddress, port: this.localPort, family: 'IPv4' };
  }

  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  destroySoon(): void {
    this.destroy();
  }
}
