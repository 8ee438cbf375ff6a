import { CacheUsageError } from '../core/errors/cache.error.js';
import { isStandardSchema, pathsOf, type SchemaResult, type StandardSchema } from './standard-schema.js';
import type { StateSchemas } from './state-cache.options.js';

/** The schemas of a state cache: what is written to an entry and read from it passes through here. */
export class StateSchema {
  private readonly schemas: ReadonlyMap<string, StandardSchema>;

  /** @throws CacheUsageError `invalid_option` */
  constructor(
    private readonly name: string,
    states: readonly string[],
    schemas: StateSchemas,
  ) {
    this.schemas = new Map(states.map((state) => [state, schemaOf(name, state, schemas)]));
  }

  /**
   * What the schema makes of a value that is to be written.
   * @throws CacheUsageError `schema_mismatch`; `unstable_schema` if what it makes could not be read again
   */
  async forWriting(state: string, value: unknown): Promise<unknown> {
    const made = await this.validate(state, value);
    if (made.issues)
      throw new CacheUsageError(
        'schema_mismatch',
        `state cache "${this.name}", state "${state}": the value does not match the schema at ${pathsOf(made.issues)}; nothing was stored`,
      );
    const again = await this.validate(state, made.value);
    if (again.issues)
      throw new CacheUsageError(
        'unstable_schema',
        `state cache "${this.name}", state "${state}": the schema refuses its own output at ${pathsOf(again.issues)}, so that no entry could be read; transform values before they are written instead`,
      );
    return made.value;
  }

  async forReading(state: string, value: unknown): Promise<SchemaResult<unknown>> {
    return this.validate(state, value);
  }

  private validate(state: string, value: unknown): SchemaResult<unknown> | Promise<SchemaResult<unknown>> {
    return (this.schemas.get(state) as StandardSchema)['~standard'].validate(value);
  }
}

function schemaOf(name: string, state: string, schemas: unknown): StandardSchema {
  if (isStandardSchema(schemas)) return schemas;
  const ofState =
    typeof schemas === 'object' && schemas !== null && Object.hasOwn(schemas, state)
      ? (schemas as Record<string, unknown>)[state]
      : undefined;
  if (isStandardSchema(ofState)) return ofState;
  throw new CacheUsageError(
    'invalid_option',
    `defineStateCache("${name}"): schema must be a Standard Schema (an object with "~standard"), or an object with one for each state; there is none for "${state}"`,
  );
}
