/** What is used of an instance of Sequelize 6. */
export interface SequelizeLike {
  readonly models: Readonly<Record<string, SequelizeModel>>;
  addHook(hookType: 'afterQuery', name: string, hook: AfterQuery): unknown;
  removeHook(hookType: 'afterQuery', name: string): unknown;
}

type AfterQuery = (options: object, query: object) => Promise<void>;

/** What is used of a model. */
export interface SequelizeModel {
  readonly name: string;
  readonly primaryKeyAttributes: readonly string[];
  readonly options: { readonly paranoid?: boolean; readonly deletedAt?: string | boolean };
  readonly rawAttributes: Readonly<Record<string, SequelizeColumn>>;
  readonly sequelize?: { getDialect(): string };
  readonly associations?: Readonly<Record<string, SequelizeAssociation>>;
  getTableName(): SequelizeTable;
}

/** What is used of an association. */
export interface SequelizeAssociation {
  /** The others below are those of `BelongsToMany`. */
  readonly associationType?: string;
  readonly source?: SequelizeModel;
  readonly target?: SequelizeModel;
  readonly through?: { readonly model?: SequelizeModel };
  /** Of the join table: the attributes that tell the row at each end, and those of the rows that these refer to. */
  readonly foreignKey?: string;
  readonly otherKey?: string;
  readonly sourceKey?: string;
  readonly targetKey?: string;
}

/** With its schema, if it has one. */
export type SequelizeTable = string | { tableName: string };

/** What is used of a column: how values are kept in it, and the foreign key that it is. */
export interface SequelizeColumn {
  readonly type?: string | { readonly key?: string; readonly options?: { readonly binary?: boolean } };
  readonly references?: string | { readonly model?: SequelizeTable | object };
  readonly onDelete?: string;
}

/** What is used of an instance of a model. */
export interface SequelizeInstance {
  /** Its model. */
  readonly constructor: unknown;
  /** The values as they are now, by attribute. */
  readonly dataValues: Readonly<Record<string, unknown>>;
  /** The value as it was loaded or saved last. */
  previous(attribute: string): unknown;
  isSoftDeleted(): boolean;
}

/** What is used of the options of a statement. */
export interface SequelizeStatement {
  readonly type?: string;
  readonly instance?: SequelizeInstance;
  /** Of `increment` and `decrement`, which do not tell the new values. */
  readonly increment?: unknown;
  readonly transaction?: SequelizeTransaction | null;
}

/** What is used of a transaction. */
export interface SequelizeTransaction {
  /** The transaction that this one is a savepoint of. */
  readonly parent?: SequelizeTransaction | null;
  afterCommit(hook: () => Promise<void>): void;
}
