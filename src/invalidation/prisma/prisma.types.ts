/** What is used of a Prisma client; `$extends` and `$transaction` as generated differ between schemas. */
export interface PrismaLike {
  $extends: unknown;
  $transaction: unknown;
}

/** What a generated client knows of its models at run time. */
export interface PrismaDataModel {
  /** The kind of database, such as `postgresql`. */
  readonly provider?: string | undefined;
  readonly models: Readonly<Record<string, PrismaModel>>;
}

export interface PrismaModel {
  /** The table, if it has another name than the model. */
  readonly dbName: string | null;
  readonly fields: readonly PrismaField[];
}

export interface PrismaField {
  readonly name: string;
  /** `object` for relations, whose `type` is the model; `scalar`, `enum`. */
  readonly kind: string;
  readonly type: string;
  readonly relationName?: string;
}

/** One call, as a query extension sees it. */
export interface PrismaCall {
  readonly model?: string;
  readonly operation: string;
  readonly args: unknown;
}

/** What a query extension is called with. */
export interface PrismaQuery extends PrismaCall {
  query(args: unknown): Promise<unknown>;
  /** Of the transaction there is no other way to know. */
  readonly __internalParams?: { readonly transaction?: { readonly kind?: string; readonly id?: unknown } };
}

/** A call that has not been sent yet. */
export interface PrismaPromise {
  readonly [Symbol.toStringTag]: string;
  requestTransaction?(transaction: { readonly id: unknown }): unknown;
}

/** An object as a caller has written it. */
export type Written = Readonly<Record<string, unknown>>;

export function isWritten(value: unknown): value is Written {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
