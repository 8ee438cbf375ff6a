import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import type { Module } from '@nestjs/core/injector/module.js';

/** The services of ours that code can read through, and with that through the request tier, as Nest holds them. */
export class OwnServices {
  /**
   * @param classes our modules
   * @param isService whether a token of theirs is of such a service
   */
  constructor(
    private readonly modules: ReadonlyMap<string, Module>,
    private readonly classes: readonly unknown[],
    private readonly isService: (token: unknown) => boolean,
  ) {}

  /** All modules but ours. */
  get others(): Module[] {
    return [...this.modules.values()].filter((module) => !this.isOurs(module));
  }

  /** Our modules, each with its services. */
  get all(): Array<{ readonly module: Module; readonly services: InstanceWrapper[] }> {
    const modules = [...this.modules.values()].filter((module) => this.isOurs(module));
    return modules.map((module) => ({
      module,
      services: [...module.providers.values()].filter((wrapper) => this.has(wrapper)),
    }));
  }

  has({ host, token }: InstanceWrapper): boolean {
    return host !== undefined && this.isOurs(host) && this.isService(token);
  }

  private isOurs(module: Module): boolean {
    return this.classes.includes(module.metatype);
  }
}
