/** `fields`, reporting each name that is asked for, present or not, and `'*'` when the names themselves are. */
export function recordingProxy<T extends object>(fields: T, report: (name: string) => void): T {
  return new Proxy(fields, {
    get(target, name) {
      if (typeof name === 'string' && !isInherited(target, name)) report(name);
      return Reflect.get(target, name) as unknown;
    },
    has(target, name) {
      if (typeof name === 'string' && !isInherited(target, name)) report(name);
      return Reflect.has(target, name);
    },
    getOwnPropertyDescriptor(target, name) {
      if (typeof name === 'string') report(name);
      return Reflect.getOwnPropertyDescriptor(target, name);
    },
    ownKeys(target) {
      report('*');
      return Reflect.ownKeys(target);
    },
  });
}

/** `toString` and the like, which no client sends; and what promises and JSON look for in whatever they are given. */
function isInherited(target: object, name: string): boolean {
  return !Object.hasOwn(target, name) && (name in target || name === 'then' || name === 'toJSON');
}
