import { StatementTables } from '../statement-tables.js';
import type { SequelizeModel, SequelizeTable } from './sequelize.types.js';

/** The tables of the models there are. */
export class ModelTables {
  readonly count: number;
  readonly statements: StatementTables;
  private readonly dependents: ReadonlyMap<string, readonly string[]>;

  constructor(models: readonly SequelizeModel[]) {
    this.count = models.length;
    this.dependents = new Map(models.map((model) => [model.name, dependentsOf(model, models)]));
    const tables = models.map((model): [string, string] => [nameOf(model.getTableName()), model.name]);
    this.statements = new StatementTables(tables, this.dependents);
  }

  /** The entities whose rows the database deletes or empties together with rows of this one. */
  dependentsOf(entity: string): readonly string[] {
    return this.dependents.get(entity) ?? [];
  }
}

function dependentsOf(model: SequelizeModel, models: readonly SequelizeModel[]): string[] {
  const dependents = new Set<SequelizeModel>();
  const pending = [model];
  for (let parent = pending.pop(); parent !== undefined; parent = pending.pop()) {
    const table = nameOf(parent.getTableName());
    for (const child of models) {
      const actions = Object.values(child.rawAttributes)
        .filter(({ references }) => typeof references === 'object' && nameOf(references.model) === table)
        .map(({ onDelete = '' }) => onDelete.toUpperCase());
      if (dependents.has(child) || !actions.some((action) => /^(?:CASCADE|SET )/.test(action))) continue;
      dependents.add(child);
      if (actions.includes('CASCADE')) pending.push(child);
    }
  }
  return [...dependents].map(({ name }) => name);
}

/** The name of a table, or of that of a model. */
function nameOf(table: SequelizeTable | object | undefined): string {
  if (typeof table === 'string') return table;
  if (table === undefined) return '';
  if ('getTableName' in table) return nameOf((table as SequelizeModel).getTableName());
  return (table as { tableName: string }).tableName;
}
