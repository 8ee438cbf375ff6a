import type { EntityChange } from '../entity-change.js';
import { StatementTables } from '../statement-tables.js';
import { endsOf } from './join-ends.js';
import type { SequelizeModel, SequelizeTable } from './sequelize.types.js';

/** The tables of the models there are. */
export class ModelTables {
  private readonly statements: StatementTables;

  constructor(readonly models: readonly SequelizeModel[]) {
    const tables = models.map((model): [string, string] => [nameOf(model.getTableName()), model.name]);
    this.statements = new StatementTables(tables, (entity) => this.dependentsOf(entity));
  }

  /** What a statement of which no more is known than its text may have changed. */
  changesOf(sql: string): EntityChange[] {
    const changes = this.statements.changesOf(sql);
    const ends = changes.flatMap(({ entity }) => endsOf(this.models, entity).map(({ model }) => model.name));
    return [...changes, ...ends.map((entity) => ({ entity, kind: 'table' }) as const)];
  }

  /** The entities whose rows the database deletes or empties together with rows of this one. Asked anew: models are associated late. */
  dependentsOf(entity: string): string[] {
    const dependents = new Set<SequelizeModel>();
    const pending = this.models.filter(({ name }) => name === entity);
    for (let parent = pending.pop(); parent !== undefined; parent = pending.pop()) {
      for (const child of this.models) {
        const actions = actionsOf(child, nameOf(parent.getTableName()));
        if (dependents.has(child) || !actions.some((action) => /^(?:CASCADE|SET )/.test(action))) continue;
        dependents.add(child);
        if (actions.includes('CASCADE')) pending.push(child);
      }
    }
    return [...dependents].map(({ name }) => name);
  }
}

/** What happens to rows of a model when those of the table that they refer to are deleted. */
function actionsOf({ rawAttributes }: SequelizeModel, table: string): string[] {
  return Object.values(rawAttributes)
    .filter(({ references }) => typeof references === 'object' && nameOf(references.model) === table)
    .map(({ onDelete = '' }) => onDelete.toUpperCase());
}

/** The name of a table, or of that of a model. */
function nameOf(table: SequelizeTable | object | undefined): string {
  if (typeof table === 'string') return table;
  if (table === undefined) return '';
  if ('getTableName' in table) return nameOf((table as SequelizeModel).getTableName());
  return (table as { tableName: string }).tableName;
}
