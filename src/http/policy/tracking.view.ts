import type { IncomingMessage } from 'node:http';
import type { ExecutionContext, Type } from '@nestjs/common';
import type { HandlerIdentity } from './handler-identity.js';
import type { InputName } from './input-name.js';
import { recordingProxy } from './recording-proxy.js';
import type { Fields, RequestHeaders, RequestView } from './request-view.js';

/** A view that notes what it is asked for: what a custom part of a key looks at is what that key covers. */
export class TrackingView implements RequestView {
  readonly seen = new Set<InputName>();

  constructor(readonly target: RequestView) {}

  get kind(): RequestView['kind'] {
    return this.target.kind;
  }
  get context(): ExecutionContext {
    return this.target.context;
  }
  get controller(): Type {
    return this.target.controller;
  }
  get handler(): (...args: never[]) => unknown {
    return this.target.handler;
  }
  get identity(): HandlerIdentity {
    return this.target.identity;
  }
  get place(): string {
    return this.target.place;
  }
  get method(): string {
    return this.target.method;
  }
  get host(): string {
    return this.target.host;
  }
  get protocol(): string {
    return this.target.protocol;
  }
  get contextPayload(): unknown {
    return this.target.contextPayload;
  }
  get payload(): unknown {
    return this.target.payload;
  }
  get raw(): IncomingMessage | undefined {
    return this.target.raw;
  }

  get url(): string {
    this.note('url', 'query:*', 'param:*');
    return this.target.url;
  }
  get routedUrl(): string {
    this.note('url', 'query:*', 'param:*');
    return this.target.routedUrl;
  }
  get path(): string {
    this.note('param:*');
    return this.target.path;
  }
  get search(): string {
    this.note('query:*');
    return this.target.search;
  }
  get headers(): RequestHeaders {
    return this.watched('header', this.target.headers);
  }
  get params(): Fields {
    return this.watched('param', this.target.params);
  }
  get query(): Fields {
    return this.watched('query', this.target.query);
  }
  get ip(): string | undefined {
    this.note('ip');
    return this.target.ip;
  }
  get user(): unknown {
    this.note('request:user');
    return this.target.user;
  }

  cookie(name: string): readonly string[] {
    this.note(`cookie:${name}`);
    return this.target.cookie(name);
  }

  get request(): Fields {
    return new Proxy(this.target.request, {
      get: (target, name) => {
        if (name === 'headers' || name === 'params' || name === 'query' || name === 'ip' || name === 'user')
          return this[name];
        if (name === 'url' || name === 'originalUrl' || name === 'path') {
          this.note('url', 'param:*', 'query:*');
        } else if (name === 'cookies' || name === 'signedCookies') {
          const cookies = Reflect.get(target, name) as object | undefined;
          return cookies && this.watched('cookie', cookies);
        } else if (typeof name === 'string') this.note(`request:${name}`);
        return Reflect.get(target, name) as unknown;
      },
    });
  }

  private watched<T extends object>(kind: 'header' | 'param' | 'query' | 'cookie', fields: T): T {
    return recordingProxy(fields, (name) => this.seen.add(`${kind}:${name}`));
  }

  private note(...names: InputName[]): void {
    for (const name of names) this.seen.add(name);
  }
}

/** The view itself. */
export function untracked(view: RequestView): RequestView {
  return view instanceof TrackingView ? view.target : view;
}
