import { Logger } from '@nestjs/common';
import type { CacheService } from '../../core/cache.service.js';
import { StoreUnavailableError } from '../../core/errors/cache.error.js';
import { counted } from '../../core/errors/counted.js';
import type { EntityRules } from '../entity-rules.js';
import type { DeclaredInvalidation } from './declared-invalidation.js';

const DEFAULT_NAMESPACE = 'default';

/** Carries out what was declared. Nest gives it to every object with `@InvalidatesCache()` methods. */
export class DeclaredInvalidations {
  private readonly logger = new Logger('InvalidatesCache');

  constructor(
    private readonly cache: CacheService,
    private readonly rules: EntityRules,
  ) {}

  /**
   * Resolves when the store has acknowledged it. What cannot be sent is logged, without names: whose doing it is has succeeded.
   * @throws CacheUsageError `failed_invalidation`, `invalid_option`, `invalid_key`, `invalid_entity`, `undeclared_prefix`: what is wrong
   * with one function does not keep the others' from being invalidated
   */
  async run(declared: DeclaredInvalidation, self: unknown, result: unknown, args: unknown[]): Promise<void> {
    const { tags, keys, prefixes, faults } = declared.targetsOf(this.rules, self, result, args);
    const cache = this.cache.namespace(declared.options.namespace ?? DEFAULT_NAMESPACE);
    const sendings: Array<{ count: number; sent: Promise<unknown> }> = [];
    if (tags.length > 0) sendings.push({ count: tags.length, sent: this.cache.invalidateTags(tags) });
    if (keys.length > 0) sendings.push({ count: keys.length, sent: cache.deleteMany(keys) });
    for (const prefix of prefixes) sendings.push({ count: 1, sent: cache.deleteByPrefix(prefix) });
    const outcomes = await Promise.allSettled(sendings.map(({ sent }) => sent));
    const wrong = [...faults];
    let unsent = 0;
    let why: Error | undefined;
    outcomes.forEach((outcome, i) => {
      if (outcome.status === 'fulfilled') return;
      if (!(outcome.reason instanceof StoreUnavailableError)) return void wrong.push(outcome.reason as Error);
      unsent += sendings[i]?.count ?? 0;
      why = outcome.reason;
    });
    if (why)
      this.logger.warn(`${declared.label}: ${counted(unsent, 'invalidation')} could not be sent: ${why.message}`);
    if (wrong[0]) throw wrong[0];
  }

  /** At boot. @throws CacheUsageError `unknown_namespace`, `undeclared_prefix` */
  check({ options }: DeclaredInvalidation): void {
    const cache = this.cache.namespace(options.namespace ?? DEFAULT_NAMESPACE);
    if (Array.isArray(options.prefixes)) for (const prefix of options.prefixes) cache.checkPrefix(prefix);
  }
}
