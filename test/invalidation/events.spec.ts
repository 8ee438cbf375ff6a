import 'reflect-metadata';
import { Injectable, Logger } from '@nestjs/common';
import { CqrsModule, EventBus, EventsHandler, type IEventHandler } from '@nestjs/cqrs';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { CacheService, entityTags, InvalidatesCache, TieredCacheModule } from '../../src/index.js';
import { CqrsInvalidationModule, invalidateOn } from '../../src/invalidation/cqrs/index.js';
import { EventInvalidationModule, type EventInvalidationOptions } from '../../src/invalidation/event-emitter/index.js';
import { boot, closeAll } from '../nest/boot.js';
import { RedisServer } from '../servers/redis.server.js';

afterEach(() => {
  vi.restoreAllMocks();
  return closeAll();
});

interface Saved {
  id: number;
}

async function entries(cache: CacheService): Promise<() => Promise<string[]>> {
  await cache.set('course', 1, { tags: entityTags('Course', 1) });
  await cache.set('other', 1, { tags: entityTags('Course', 2) });
  await cache.set('list', 1, { tags: entityTags('Course') });
  return async () => {
    const there = await Promise.all(['course', 'other', 'list'].map((key) => cache.has(key)));
    return ['course', 'other', 'list'].filter((_, i) => there[i]);
  };
}

const saved = ({ id }: Saved): { entity: string; kind: 'update'; id: number } => ({
  entity: 'Course',
  kind: 'update',
  id,
});

describe('@nestjs/event-emitter', () => {
  const emitterOf = async <E extends Record<string, unknown>>(
    events: EventInvalidationOptions<E>['events'],
    remote?: string,
  ) => {
    const app = await boot([
      TieredCacheModule.forRoot({ deadline: 2000, ...(remote !== undefined && { remote }) }),
      EventEmitterModule.forRoot({ wildcard: true }),
      EventInvalidationModule.forRoot({ events }),
    ]);
    return { app, emitter: app.get(EventEmitter2), cache: app.get(CacheService) };
  };

  it('emitAsync() resolves when the change is invalidated; other events change nothing', async () => {
    const { emitter, cache } = await emitterOf({
      'course.saved': saved,
      'course.*.removed': () => ({ entity: 'Course', kind: 'table' }),
    });
    const left = await entries(cache);
    await emitter.emitAsync('course.read', { id: 1 });
    expect(await left()).toEqual(['course', 'other', 'list']);
    await emitter.emitAsync('course.saved', { id: 1 });
    expect(await left()).toEqual(['other']);
    await emitter.emitAsync('course.1.removed', { id: 1 });
    expect(await left()).toEqual([]);
  });

  it('emit() does, too, soon; and an event may say that nothing has changed', async () => {
    const { emitter, cache } = await emitterOf({
      'course.saved': ({ id }: Saved) => (id === 1 ? [saved({ id }), saved({ id: 2 })] : []),
    });
    const left = await entries(cache);
    await emitter.emitAsync('course.saved', { id: 7 });
    expect(await left()).toEqual(['course', 'other', 'list']);
    emitter.emit('course.saved', { id: 1 });
    await expect.poll(left).toEqual([]);
  });

  it('a function that throws is logged, and is no error of who emits', async () => {
    const logged = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const { emitter } = await emitterOf({
      'course.saved': (event: { at: { id: number } }) => saved(event.at),
    });
    await emitter.emitAsync('course.saved', {});
    expect(logged).toHaveBeenCalledWith(
      expect.stringContaining('event "course.saved": entities() has thrown a TypeError'),
      expect.any(String),
    );
  });

  it('nor is an outage of the store', { timeout: 60_000 }, async () => {
    await using server = await RedisServer.start();
    const { emitter, cache } = await emitterOf({ 'course.saved': saved }, server.url);
    await cache.set('a', 1);
    await server.kill();
    await emitter.emitAsync('course.saved', { id: 1 });
  });

  it('two applications do not meet, and one that has ended hears nothing', async () => {
    const one = await emitterOf({ 'course.saved': saved });
    const other = await emitterOf({ 'course.saved': saved });
    const [leftOfOne, leftOfOther] = [await entries(one.cache), await entries(other.cache)];
    await one.emitter.emitAsync('course.saved', { id: 1 });
    expect([await leftOfOne(), await leftOfOther()]).toEqual([['other'], ['course', 'other', 'list']]);
    await one.app.close();
    expect(one.emitter.listenerCount('course.saved')).toBe(0);
  });

  it('an own listener with @InvalidatesCache() needs no bridge', async () => {
    @Injectable()
    class Listener {
      @OnEvent('course.saved')
      @InvalidatesCache({ tags: (_none: void, [{ id }]: [Saved]) => [`Course:${id}`] })
      async saved(_event: Saved): Promise<void> {}
    }
    const app = await boot([TieredCacheModule.forRoot(), EventEmitterModule.forRoot()], [Listener]);
    const left = await entries(app.get(CacheService));
    await app.get(EventEmitter2).emitAsync('course.saved', { id: 1 });
    expect(await left()).toEqual(['other', 'list']);
  });

  it.each([
    [{ events: { a: 1 } }, 'EventInvalidationModule.events.a must be a function; got the number 1'],
    [{}, 'EventInvalidationModule.events must be given'],
  ])('%j is refused', (options, message) => {
    expect(() => EventInvalidationModule.forRoot(options as never)).toThrow(message);
  });
});

class CourseSaved {
  constructor(readonly id: number) {}
}
class CourseRenamed extends CourseSaved {}
class CourseRead {
  constructor(readonly id: number) {}
}

const handled: number[] = [];

@EventsHandler(CourseSaved)
class OwnHandler implements IEventHandler<CourseSaved> {
  handle({ id }: CourseSaved): void {
    handled.push(id);
  }
}

describe('@nestjs/cqrs', () => {
  const busOf = async () => {
    const app = await boot(
      [
        TieredCacheModule.forRoot(),
        CqrsModule.forRoot(),
        CqrsInvalidationModule.forRoot({ events: [invalidateOn(CourseSaved, saved)] }),
      ],
      [OwnHandler],
    );
    return { app, bus: app.get(EventBus), cache: app.get(CacheService) };
  };

  it('what is published invalidates, subclasses too; other events and handlers are left alone', async () => {
    const { bus, cache } = await busOf();
    const left = await entries(cache);
    bus.publish(new CourseRead(1));
    bus.publish(new CourseSaved(1));
    await expect.poll(left).toEqual(['other']);
    bus.publish(new CourseRenamed(2));
    await expect.poll(left).toEqual([]);
    expect(handled).toEqual([1, 2]);
  });

  it('a function that throws is logged, and does not end the bus', async () => {
    const logged = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const { bus, cache } = await busOf();
    const left = await entries(cache);
    bus.publish(new CourseSaved(1));
    await expect.poll(left).toEqual(['other']);
    // Nobody knows which course.
    bus.publish(new CourseSaved(undefined as never));
    await expect.poll(left).toEqual([]);
    expect(logged).toHaveBeenCalledWith(
      expect.stringContaining('event CourseSaved.entities().id must be the id of a row; got undefined'),
      undefined,
    );
  });

  it('an application that has ended hears nothing', async () => {
    const { app, bus } = await busOf();
    const logged = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    await app.close();
    bus.publish(new CourseSaved(undefined as never));
    await new Promise(setImmediate);
    expect(logged).not.toHaveBeenCalled();
  });

  it('what is no class of events is refused', () => {
    expect(() =>
      CqrsInvalidationModule.forRoot({ events: [{ event: 'CourseSaved' as never, changes: saved }] }),
    ).toThrow('CqrsInvalidationModule.events[0].event must be a function; got a string');
  });
});
