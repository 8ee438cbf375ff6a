/**
 * `res.locals`, or a body, reporting what is read that others have written before. What the handler writes is its own. That there is nothing may
 * be read as a whole: every template is shown all of `res.locals`.
 */
export function recordedBag<T extends object>(bag: T, report: (name: string) => void): T {
  const own = new Set<PropertyKey>();
  const isEmpty = Reflect.ownKeys(bag).length === 0;
  const note = (name: PropertyKey): void => {
    if (!own.has(name) && name !== 'then' && name !== 'toJSON') report(String(name));
  };
  return new Proxy(bag, {
    get(target, name) {
      note(name);
      return Reflect.get(target, name) as unknown;
    },
    has(target, name) {
      note(name);
      return Reflect.has(target, name);
    },
    getOwnPropertyDescriptor(target, name) {
      note(name);
      return Reflect.getOwnPropertyDescriptor(target, name);
    },
    ownKeys(target) {
      if (!isEmpty) report('*');
      return Reflect.ownKeys(target);
    },
    set(target, name, value) {
      own.add(name);
      return Reflect.set(target, name, value);
    },
    defineProperty(target, name, descriptor) {
      own.add(name);
      return Reflect.defineProperty(target, name, descriptor);
    },
  });
}
