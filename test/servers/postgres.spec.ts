import { existsSync } from 'node:fs';
import pg from 'pg';
import { expect, it } from 'vitest';
import { PostgresServer } from './postgres.server.js';

async function ask(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query({ text, rowMode: 'array' })).rows;
  } finally {
    await client.end();
  }
}

it('PostgresServer runs on a loopback port of its own, keeps what was committed over a crash, and leaves nothing behind', async () => {
  const postgres = await PostgresServer.start({ settings: { max_connections: '17' } });
  try {
    const { pid, url } = postgres;
    expect(await ask(url, "SELECT current_setting('max_connections'), current_setting('listen_addresses')")).toEqual([
      ['17', '127.0.0.1'],
    ]);
    await ask(url, 'CREATE TABLE kept AS SELECT 1 AS one');
    await postgres.restart();
    expect(postgres.pid).not.toBe(pid);
    expect(await ask(url, 'SELECT one FROM kept')).toEqual([[1]]);
  } finally {
    await postgres.stop();
  }
  await postgres.stop();
  expect(postgres.pid).toBeUndefined();
  expect(existsSync(postgres.directory)).toBe(false);
  await expect(ask(postgres.url, 'SELECT 1')).rejects.toThrow('ECONNREFUSED');
});
