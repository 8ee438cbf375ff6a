import { CONDITIONS } from '../../http-semantics/forwarded-fields.js';

/**
 * Request headers by which clients and broken proxies rewrite a request's host, scheme, path or method. They are not part of any key, so no
 * handler sees them while it fills an entry, unless its policy declares them (web cache poisoning; `reference/http.md` K6).
 */
export const UNKEYED_HEADERS: ReadonlySet<string> = new Set([
  'forwarded',
  'x-forwarded-host',
  'x-forwarded-path',
  'x-forwarded-port',
  'x-forwarded-prefix',
  'x-forwarded-scheme',
  'x-forwarded-server',
  'x-forwarded-ssl',
  'x-host',
  'x-http-host-override',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-original-host',
  'x-original-url',
  'x-rewrite-url',
]);

/** Conditions and ranges ask for a form of the answer, which the cache gives from the whole one (RFC 9110 13, 14); a fill must not see them. */
export const CONDITIONAL_HEADERS = CONDITIONS;

/** What frameworks read on their own account, and what says nothing about the wanted content. `host` is in every key. */
export const HARMLESS_HEADERS: ReadonlySet<string> = new Set([
  ...CONDITIONAL_HEADERS,
  ':authority',
  ':method',
  ':scheme',
  'cache-control',
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'pragma',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** They say who asks. */
export const CREDENTIAL_HEADERS: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'x-access-token',
  'x-api-key',
  'x-auth-token',
]);

/** Names under which the common session middlewares keep the session's id. */
export const SESSION_COOKIES: readonly string[] = ['connect.sid', 'session', 'sessionId', 'sid'];

/** Properties of a request that Express, Fastify and Nest put there themselves, and that are watched otherwise or say nothing about the content. */
export const FRAMEWORK_PROPERTIES: ReadonlySet<string> = new Set([
  '_body',
  '_parsedOriginalUrl',
  '_parsedUrl',
  'accepts',
  'acceptsCharset',
  'acceptsCharsets',
  'acceptsEncoding',
  'acceptsEncodings',
  'acceptsLanguage',
  'acceptsLanguages',
  'additionalHeaders',
  'app',
  'baseUrl',
  'body',
  'compileValidationSchema',
  'cookies',
  'fresh',
  'get',
  'getDecorator',
  'getValidationFunction',
  'header',
  'host',
  'hostname',
  'hosts',
  'ip',
  'ips',
  'is',
  'is404',
  'log',
  'mediaType',
  'next',
  'originalUrl',
  'param',
  'params',
  'path',
  // Of the origin, which is in every key.
  'port',
  'protocol',
  'query',
  'range',
  'raw',
  'rawBody',
  'req',
  'res',
  'route',
  'routeConfig',
  'routeOptions',
  'routeSchema',
  'routerMethod',
  'routerPath',
  'secret',
  'secure',
  'server',
  'setDecorator',
  'signal',
  'signedCookies',
  'stale',
  'subdomains',
  'validateInput',
  'validationError',
  'xhr',
]);

/** Those of them that are each request's own, or are computed from what is watched and part of the key wherever they say who asks. */
export const OWN_PROPERTIES: ReadonlySet<string> = new Set([
  '_body',
  '_parsedOriginalUrl',
  '_parsedUrl',
  'baseUrl',
  'body',
  'cookies',
  'headers',
  'host',
  'hostname',
  'hosts',
  'ip',
  'ips',
  'log',
  'next',
  'originalUrl',
  'params',
  'port',
  'protocol',
  'query',
  'raw',
  'rawBody',
  'res',
  'route',
  'secret',
  'secure',
  'signedCookies',
  'subdomains',
]);
