/** Own properties put over those of a request for a while. */
export class PatchedRequest {
  private readonly undo: Array<() => void> = [];

  /** `name` answers with `get`. Whoever assigns to it gets what was assigned. */
  replace(target: object, name: PropertyKey, get: () => unknown): void {
    const before = Object.getOwnPropertyDescriptor(target, name);
    if (before?.configurable === false) return;
    let assigned: { value: unknown } | undefined;
    Object.defineProperty(target, name, {
      configurable: true,
      enumerable: before?.enumerable ?? true,
      get: () => (assigned === undefined ? get() : assigned.value),
      set: (value: unknown) => {
        assigned = { value };
      },
    });
    this.undo.push(() => {
      if (before === undefined) Reflect.deleteProperty(target, name);
      else Object.defineProperty(target, name, before);
      if (assigned !== undefined) Reflect.set(target, name, assigned.value);
    });
  }

  /** `name` stays what it is, and becomes what is assigned to it; who reads it is shown something else. */
  show<T extends object>(target: object, name: PropertyKey, as: (value: T | null | undefined) => unknown): void {
    const before = Object.getOwnPropertyDescriptor(target, name);
    if (before?.configurable !== true || !('value' in before)) return;
    let { value } = before as { value: T | null };
    let shown = as(value);
    Object.defineProperty(target, name, {
      configurable: true,
      enumerable: true,
      get: () => shown,
      set: (assigned: T | null) => {
        value = assigned;
        shown = as(value);
      },
    });
    this.undo.push(() => Object.defineProperty(target, name, { ...before, value }));
  }

  /** `name` stays what it is; reading what was there before is reported. */
  watch(target: object, name: PropertyKey, report: () => void): void {
    const before = Object.getOwnPropertyDescriptor(target, name);
    if (before?.configurable === false) return;
    if (before !== undefined && 'value' in before) {
      const value: unknown = before.value;
      this.replace(target, name, () => (report(), value));
      return;
    }
    const prototype = Object.getPrototypeOf(target) as object;
    this.replace(target, name, () => {
      report();
      return (before === undefined ? Reflect.get(prototype, name, target) : before.get?.call(target)) as unknown;
    });
  }

  /** What is asked for and is not there, is reported: for another request it may be. */
  watchAbsent(target: object, report: (name: string | symbol) => void): void {
    const prototype = Object.getPrototypeOf(target) as object;
    const noted = (name: string | symbol): void => {
      if (name !== 'then' && name !== 'toJSON' && !(name in prototype)) report(name);
    };
    const watcher = new Proxy(Object.create(prototype) as object, {
      get(_, name, receiver) {
        noted(name);
        return Reflect.get(prototype, name, receiver) as unknown;
      },
      has(_, name) {
        noted(name);
        return name in prototype;
      },
    });
    Object.setPrototypeOf(target, watcher);
    this.undo.push(() => {
      if (Object.getPrototypeOf(target) === watcher) Object.setPrototypeOf(target, prototype);
    });
  }

  whenRestored(act: () => void): void {
    this.undo.push(act);
  }

  restore(): void {
    for (const undo of this.undo.splice(0).toReversed()) undo();
  }
}
