import { ModuleRef } from '@nestjs/core';
import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import type { OwnServices } from './own-services.js';

/**
 * Hears when Nest hands one of our services to somebody who is not given it at boot: by `app.get()`, `ModuleRef`, to a module that is loaded
 * lazily. Nest has no event for it: each service's wrapper is asked for its instance, so the wrapper tells.
 */
export class HandOuts {
  private undo: Array<() => void> = [];
  private isBooted = false;

  /** @param told called at the first hand-out */
  constructor(
    services: OwnServices,
    private readonly told: () => void,
  ) {
    for (const { module, services: ours } of services.all) {
      // Lifecycle hooks and whoever looks for decorators read through all there is: our ModuleRef, too, which nobody looks up, and that first.
      let isListed = false;
      const listed = (): void => {
        isListed = true;
        queueMicrotask(() => (isListed = false));
      };
      const first = module.providers.get(ModuleRef) as InstanceWrapper | undefined;
      if (first) this.hear(first, listed);
      const handed = (): void => {
        if (!isListed) this.tell();
      };
      for (const wrapper of ours) this.hear(wrapper, handed, () => this.isBooted && handed());
    }
  }

  /** From now on injections count: what was there at boot has got what it needs, and is found there (`areInjected`). */
  booted(): void {
    this.isBooted = true;
  }

  /** Somebody has one: nothing more is to be heard. */
  tell(): void {
    for (const undo of this.undo.splice(0)) undo();
    this.told();
  }

  private hear(wrapper: InstanceWrapper, asked: () => void, injected?: () => void): void {
    const { prototype } = wrapper.constructor as { prototype: InstanceWrapper };
    const instance = Object.getOwnPropertyDescriptor(prototype, 'instance');
    // Another Nest: better awake than deaf.
    if (instance?.get === undefined || instance.set === undefined) return this.tell();
    const { get, set } = instance;
    const take = wrapper.getInstanceByContextId;
    Object.defineProperties(wrapper, {
      // What lookups by name read; the injector does not.
      instance: {
        configurable: true,
        enumerable: false,
        get(this: InstanceWrapper): unknown {
          asked();
          return get.call(this);
        },
        set,
      },
      getInstanceByContextId: {
        configurable: true,
        enumerable: false,
        value(this: InstanceWrapper, ...args: Parameters<InstanceWrapper['getInstanceByContextId']>): unknown {
          injected?.();
          return take.apply(this, args);
        },
      },
    });
    this.undo.push(() => {
      for (const property of ['instance', 'getInstanceByContextId']) Reflect.deleteProperty(wrapper, property);
    });
  }
}
