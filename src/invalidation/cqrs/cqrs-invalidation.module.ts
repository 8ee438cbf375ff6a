import { Inject, Module } from '@nestjs/common';
import type { DynamicModule, OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { EventBus } from '@nestjs/cqrs';
import type { Subscription } from 'rxjs';
import { fields, isFunction, listOf } from '../../option-checks.js';
import { EventInvalidation, type ChangesOf } from '../events/event-invalidation.js';
import { DeclaredInvalidations } from '../methods/declared-invalidations.js';

const OPTIONS: unique symbol = Symbol('nestjs-tiered-cache:cqrs-invalidation');

type EventClass<E = unknown> = abstract new (...args: never[]) => E;

/** What events of a class invalidate; made by {@link invalidateOn}. */
export interface CqrsInvalidation {
  readonly event: EventClass;
  readonly changes: ChangesOf<never>;
}

/** What `CqrsInvalidationModule.forRoot()` takes. */
export interface CqrsInvalidationOptions {
  readonly events: readonly CqrsInvalidation[];
}

/**
 * Says what has changed when an event of this class is published; for `CqrsInvalidationModule.forRoot({ events })`.
 * @param event its subclasses are meant, too
 */
export function invalidateOn<E>(event: EventClass<E>, changes: ChangesOf<E>): CqrsInvalidation {
  return { event, changes };
}

const check = fields({ events: listOf(fields({ event: isFunction, changes: isFunction }, ['event', 'changes'])) }, [
  'events',
]);

/**
 * Invalidates what events of @nestjs/cqrs say has changed. The bus waits for nobody: where the answer to a command has to find its own
 * change, put `@InvalidatesCache()` on the command handler's `execute()`. Who publishes an event never fails by it. Can be imported several
 * times. Needs TieredCacheModule and CqrsModule.forRoot() in the application.
 * @example
 * CqrsInvalidationModule.forRoot({
 *   events: [invalidateOn(CourseSaved, ({ id }) => ({ entity: 'Course', kind: 'update', id }))],
 * })
 */
@Module({})
export class CqrsInvalidationModule implements OnModuleInit, OnApplicationShutdown {
  private readonly heard: ReadonlyArray<{ event: EventClass; invalidation: EventInvalidation }>;
  private subscription: Subscription | undefined;

  constructor(
    @Inject(EventBus) private readonly bus: EventBus,
    @Inject(DeclaredInvalidations) invalidations: DeclaredInvalidations,
    @Inject(OPTIONS) { events }: CqrsInvalidationOptions,
  ) {
    this.heard = events.map(({ event, changes }) => ({
      event,
      invalidation: new EventInvalidation(event.name, changes, invalidations),
    }));
  }

  /** @throws CacheUsageError `invalid_option`, `unknown_option` */
  static forRoot(options: CqrsInvalidationOptions): DynamicModule {
    check(options, 'CqrsInvalidationModule');
    return { module: CqrsInvalidationModule, providers: [{ provide: OPTIONS, useValue: options }] };
  }

  onModuleInit(): void {
    this.subscription = this.bus.subscribe((published) => {
      for (const { event, invalidation } of this.heard)
        if (published instanceof event) void invalidation.heard(published);
    });
  }

  /** Not before: requests that are still served publish events. */
  onApplicationShutdown(): void {
    this.subscription?.unsubscribe();
  }
}
