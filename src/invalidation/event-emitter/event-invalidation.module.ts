import { Inject, Module } from '@nestjs/common';
import type { DynamicModule, OnModuleInit } from '@nestjs/common';
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
export class EventInvalidationModule implements OnModuleInit {
  constructor(
    @Inject(EventEmitter2) private readonly emitter: EventEmitter2,
    @Inject(DeclaredInvalidations) private readonly invalidations: DeclaredInvalidations,
    @Inject(OPTIONS) private readonly options: EventInvalidationOptions,
  ) {}

  /** @throws CacheUsageError `invalid_option`, `unknown_option` */
  static forRoot<E extends Record<string, unknown>>(options: EventInvalidationOptions<E>): DynamicModule {
    check(options, 'EventInvalidationModule');
    return { module: EventInvalidationModule, providers: [{ provide: OPTIONS, useValue: options }] };
  }

  /** EventEmitterModule takes its listeners away when the application has ended, and no request is served any more. */
  onModuleInit(): void {
    for (const [name, changes] of Object.entries(this.options.events)) {
      const invalidation = new EventInvalidation(`"${name}"`, changes as ChangesOf<never>, this.invalidations);
      this.emitter.on(name, (event: unknown) => invalidation.heard(event));
    }
  }
}
