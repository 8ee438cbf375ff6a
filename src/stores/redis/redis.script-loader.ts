import { isCluster, type RedisClient } from './redis.driver.js';
import { refusalCode } from './redis.errors.js';
import { sendPacked } from './redis.packed-command.js';
import type { RedisScript } from './redis.scripts.js';

export type RedisArgument = string | Buffer;

/** Runs scripts by name and loads those the server does not know (any more). Never EVAL: a strict ACL forbids it. */
export class RedisScriptLoader {
  readonly #loading = new Map<string, Promise<unknown>>();

  /** The command is written before this returns, so that several can be corked. */
  run(client: RedisClient, script: RedisScript, keys: string[], args: RedisArgument[]): Promise<unknown> {
    return evalsha(client, script, keys, args).catch((error: unknown) => {
      if (!isUnknown(error)) throw error;
      return this.loadAndRun(client, script, keys, args);
    });
  }

  async loadAndRun(client: RedisClient, script: RedisScript, keys: string[], args: RedisArgument[]): Promise<unknown> {
    const failure = await this.#load(client, script);
    return evalsha(client, script, keys, args).catch((error: unknown) => {
      throw failure !== undefined && isUnknown(error) ? failure : error;
    });
  }

  /** Resolves to why a server could not be told, if any. */
  #load(client: RedisClient, script: RedisScript): Promise<unknown> {
    const running = this.#loading.get(script.sha);
    if (running) return running;
    const nodes = isCluster(client) ? client.nodes('master') : [client];
    const loading = firstFailure(nodes.map((node) => node.script('LOAD', script.text))).finally(() =>
      this.#loading.delete(script.sha),
    );
    this.#loading.set(script.sha, loading);
    return loading;
  }
}

/** A master that is away keeps nobody from the others: whether it was the one that matters shows when the script is run. */
async function firstFailure(loads: ReadonlyArray<Promise<unknown>>): Promise<unknown> {
  const outcomes = await Promise.allSettled(loads);
  return outcomes.find((outcome) => outcome.status === 'rejected')?.reason as unknown;
}

/** Whether the server says that it does not know the script. */
export function isUnknown(error: unknown): boolean {
  return refusalCode(error) === 'NOSCRIPT';
}

/** The driver's types leave it out. */
interface Scripted {
  evalshaBuffer(...args: RedisArgument[]): Promise<unknown>;
}

/** By name only. */
export function evalsha(
  client: RedisClient,
  script: RedisScript,
  keys: string[],
  args: RedisArgument[],
): Promise<unknown> {
  const all = [script.sha, String(keys.length), ...keys, ...args];
  // Not `callBuffer`: with the driver's auto-pipelining it would take the first argument for the command.
  return sendPacked(client, 'evalsha', all) ?? (client as unknown as Scripted).evalshaBuffer(...all);
}
