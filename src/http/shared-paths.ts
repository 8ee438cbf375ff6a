import { isCovered, type Covers } from './policy/input-name.js';
import type { RequestView } from './policy/request-view.js';

/** Whether pages of a route with parameters may be found under another path than the one they were made for. */
export function mayShare({ names }: Covers, route: string | undefined): boolean {
  return route !== undefined && /[:*{(]/.test(route) && !tellsAllPaths(names);
}

/** The path above all of those that share a page with this one, as it is written; `undefined`: its key tells all of them apart. */
export function sharedAbove({ url, params }: RequestView, covers: Covers): string | undefined {
  if (tellsAllPaths(covers.names)) return undefined;
  const names = Object.keys(params);
  if (names.every((name) => isCovered(`param:${name}`, covers))) return undefined;
  const [path = ''] = url.split('?', 1);
  const values = names.map((name) => firstSegment(params[name])).filter((value) => value !== undefined);
  const segments = path.split('/');
  const end = segments.findIndex((segment, at) => at > 0 && values.some((value) => decoded(segment).includes(value)));
  return (end < 0 ? segments : segments.slice(0, end)).join('/') || '/';
}

function tellsAllPaths(names: Covers['names']): boolean {
  return names.has('param:*') || names.has('url');
}

/** Of a parameter that may hold several. */
function firstSegment(value: unknown): string | undefined {
  const [first] = Array.isArray(value) ? (value as unknown[]) : [value];
  return typeof first === 'string' ? first.split('/', 1)[0] : undefined;
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
