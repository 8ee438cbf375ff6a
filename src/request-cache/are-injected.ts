import 'reflect-metadata';
import { Scope } from '@nestjs/common';
import { PROPERTY_DEPS_METADATA } from '@nestjs/common/constants.js';
import { LazyModuleLoader, ModuleRef } from '@nestjs/core';
import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import type { Module } from '@nestjs/core/injector/module.js';
import { partsOf } from '../injected-parts.js';
import type { OwnServices } from './own-services.js';

/**
 * Whether anything in an application that has booted is given a service of ours: in a constructor, a property (as `@Cached()` does it) or a
 * factory; or something that may look one up in the middle of a request.
 */
export function areInjected(services: OwnServices): boolean {
  return services.others.some((module) => elementsOf(module).some((wrapper) => reads(wrapper, module, services)));
}

function elementsOf({ providers, controllers, injectables, middlewares }: Module): InstanceWrapper[] {
  const collections: Array<ReadonlyMap<unknown, InstanceWrapper>> = [providers, controllers, injectables, middlewares];
  return collections.flatMap((wrappers) => [...wrappers.values()]);
}

function reads(wrapper: InstanceWrapper, module: Module, services: OwnServices): boolean {
  // Classes of modules (those of ORMs, say) look things up in hooks, before there is a request: HandOuts hears of that.
  const mayLookUp = wrapper.metatype !== module.metatype;
  if (isUnknown(wrapper)) return true;
  return partsOf(wrapper).some((found) => found && (services.has(found) || (mayLookUp && looksUp(found))));
}

/** Nest 11 looks for what a provider of a request is given when it is first made: in the middle of a request. */
function isUnknown(wrapper: InstanceWrapper): boolean {
  if (wrapper.scope !== Scope.REQUEST) return false;
  const isKnown = wrapper.getCtorMetadata() !== undefined || wrapper.getPropertiesMetadata() !== undefined;
  if (isKnown) return false;
  const { inject, metatype } = wrapper;
  if (inject) return inject.length > 0;
  return (
    typeof metatype === 'function' && (metatype.length > 0 || Reflect.hasMetadata(PROPERTY_DEPS_METADATA, metatype))
  );
}

function looksUp({ token }: InstanceWrapper): boolean {
  return token === ModuleRef || token === LazyModuleLoader;
}
