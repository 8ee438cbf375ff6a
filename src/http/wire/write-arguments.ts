export type Callback = (error?: Error | null) => void;

/** The arguments of an `end()`: all its overloads. */
export function endArguments(args: readonly unknown[]): [unknown, BufferEncoding | undefined, Callback | undefined] {
  const callback = args.find((argument) => typeof argument === 'function') as Callback | undefined;
  const chunk = typeof args[0] === 'function' ? undefined : args[0];
  return [chunk, typeof args[1] === 'string' ? (args[1] as BufferEncoding) : undefined, callback];
}
