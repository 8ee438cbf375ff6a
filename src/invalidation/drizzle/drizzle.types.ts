/** What is used of a database, or of a transaction, of Drizzle for PostgreSQL or MySQL. */
export interface DrizzleLike {
  readonly _: { readonly session: object };
}

/** What statements are prepared and transactions begun with. */
export interface DrizzleSession {
  prepareQuery(query: { readonly sql: string }, ...rest: unknown[]): DrizzlePrepared;
  transaction: Transact;
}

/** A statement; it may be run many times. */
export type DrizzlePrepared = Partial<Record<'execute' | 'all', (...values: unknown[]) => Promise<unknown>>>;

export interface DrizzleTransaction extends DrizzleLike {
  transaction: Transact;
}

type Transact = (work: (tx: DrizzleTransaction) => Promise<unknown>, ...rest: unknown[]) => Promise<unknown>;
