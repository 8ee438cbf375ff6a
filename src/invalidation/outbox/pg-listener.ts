/** Ends the listening and gives the connection back. */
export type StopListening = () => Promise<void>;

/** Listens on a channel until it is stopped; tells when the connection is lost. Rejects when there is none to be had. */
export type NotifyListener = (channel: string, notified: () => void, lost: () => void) => Promise<StopListening>;

/** What is needed of a `pg` client. */
interface PgClient {
  query(text: string): Promise<unknown>;
  on(event: 'notification' | 'error' | 'end', listener: () => void): unknown;
  off(event: 'notification' | 'error' | 'end', listener: () => void): unknown;
}

/** A client of a `pg` pool, and how to give it back; destroyed if it is broken. */
export interface PgConnection {
  readonly client: PgClient;
  release(isBroken: boolean): void | Promise<void>;
}

/**
 * Lets a relay be woken by NOTIFY, on one connection of its own.
 * @example
 * listen: pgListener(async () => {
 *   const client = await pool.connect();
 *   return { client, release: (isBroken) => client.release(isBroken) };
 * })
 */
export function pgListener(connect: () => Promise<PgConnection>): NotifyListener {
  return async (channel, notified, lost) => {
    const { client, release } = await connect();
    const name = `"${channel.replaceAll('"', '""')}"`;
    let [isStopping, isOver] = [false, false];
    const end = async (isBroken: boolean): Promise<void> => {
      if (isOver) return;
      isOver = true;
      client.off('notification', notified);
      await release(isBroken);
      // Of one that is broken the listener for errors stays: an error that nobody hears ends the process.
      if (!isBroken) for (const event of ['error', 'end'] as const) client.off(event, fail);
    };
    const fail = (): void => {
      if (!isStopping && !isOver) lost();
      void end(true);
    };
    client.on('notification', notified);
    client.on('error', fail);
    client.on('end', fail);
    try {
      await client.query(`LISTEN ${name}`);
    } catch (error) {
      await end(true);
      throw error;
    }
    return async () => {
      if (isOver) return;
      isStopping = true;
      const isBroken = await client.query(`UNLISTEN ${name}`).then(
        () => false,
        () => true,
      );
      await end(isBroken);
    };
  };
}
