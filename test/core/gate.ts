/** A place where code under test waits until it is let through. */
export interface Gate {
  /** Settles when somebody is there. */
  readonly reached: Promise<void>;
  passed(): Promise<void>;
  open(): void;
}

export function gate(): Gate {
  let [arrive, open] = [(): void => undefined, (): void => undefined];
  const reached = new Promise<void>((resolve) => (arrive = resolve));
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { reached, open: () => open(), passed: () => (arrive(), opened) };
}
