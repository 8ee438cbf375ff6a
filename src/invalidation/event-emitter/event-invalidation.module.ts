import { Inject, Module } from '@nestjs/common';
import type { DynamicModule, OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { EventEmitter2 } from '@nestjs/event-emitter';
import { fields, isFunction, recordOf } from '../../option-checks.js';
import { EventInvalidation, type ChangesOf } from '../events/event-invalidation.js';
import { DeclaredInvalidations } from '../methods/declared-invalidations.js';

const OPTIONS: unique symbol = Symbol('nestjs-tiered-cache:event-invalidation');

/** What `EventInvalidationModule.forRoot()` takes. */
export interface EventInvalidationOptions<E extends Record<string, unknown> = Record<string, unknown>> {
  /** By the name of the event, as `@OnEvent()` takes it: with wildcards if the emitter has them. What is emitted first is the event. */
  readonly events: { readonly [N in keyof E]: ChangesOf<E[N]> };
}

const check = fields({ events: recordOf(isFunction) }, ['events']);

/**
 * Invalidates what events of @nestjs/event-emitter say has changed. `emitAsync()` waits for it, `emit()` does not; neither ever fails by it.
 * Can be imported several times. Needs TieredCacheModule and EventEmitterModule in the application.
 * @example
 * EventInvalidationModule.forRoot({
 *   events: { 'course.saved': (course: CourseSaved) => ({ entity: 'Course', kind: 'update', id: course.id }) },
 * })
 */
@Module({})
export class EventInvalidationModule implements OnModuleInit, OnApplicationShutdown {
  private readonly listeners: ReadonlyArray<{ name: string; listen: (event: unknown) => Promise<void> }>;

  constructor(
    @Inject(EventEmitter2) private readonly emitter: EventEmitter2,
    @Inject(DeclaredInvalidations) invalidations: DeclaredInvalidations,
    @Inject(OPTIONS) { events }: EventInvalidationOptions,
  ) {
    this.listeners = Object.entries(events).map(([name, changes]) => {
      const invalidation = new EventInvalidation(`"${name}"`, changes as ChangesOf<never>, invalidations);
      return { name, listen: (event) => invalidation.heard(event) };
    });
  }

  /** @throws CacheUsageError `invalid_option`, `unknown_option` */
  static forRoot<E extends Record<string, unknown>>(options: EventInvalidationOptions<E>): DynamicModule {
    check(options, 'EventInvalidationModule');
    return { module: EventInvalidationModule, providers: [{ provide: OPTIONS, useValue: options }] };
  }

  onModuleInit(): void {
    for (const { name, listen } of this.listeners) this.emitter.on(name, listen);
  }

  /** Not before: requests that are still served emit events. */
  onApplicationShutdown(): void {
    for (const { name, listen } of this.listeners) this.emitter.off(name, listen);
  }
}
