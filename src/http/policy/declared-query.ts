import 'reflect-metadata';
import type { Type } from '@nestjs/common';
import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import { RouteParamtypes } from '@nestjs/common/enums/route-paramtypes.enum.js';

interface RouteArgument {
  readonly index: number;
  readonly data?: unknown;
}

/** class-validator keeps what its decorators say here. */
interface ValidatorStorage {
  getTargetValidationMetadatas(
    target: unknown,
    schema: string,
    always: boolean,
    strict: boolean,
  ): ReadonlyArray<{ readonly propertyName: string }>;
}

/** Names that paginators commonly have; looked for in a DTO whose fields cannot be listed. */
const PAGE_PARAMETERS = [
  'after',
  'before',
  'cursor',
  'first',
  'last',
  'limit',
  'offset',
  'page',
  'pageSize',
  'pageToken',
  'page_size',
  'perPage',
  'per_page',
  'skip',
  'take',
];

/** The query parameters a handler declares: `@Query('page')`, and the fields of the class of a `@Query()` parameter, as far as it says. */
export function declaredQuery(controller: Type, methodName: string): string[] {
  const host = hostOf(controller, methodName);
  const args = (Reflect.getMetadata(ROUTE_ARGS_METADATA, host, methodName) ?? {}) as Record<string, RouteArgument>;
  const types = (Reflect.getMetadata('design:paramtypes', host.prototype as object, methodName) ?? []) as unknown[];
  const names = new Set<string>();
  for (const [key, { index, data }] of Object.entries(args)) {
    if (Number(key.split(':', 1)[0]) !== Number(RouteParamtypes.QUERY)) continue;
    if (typeof data === 'string' && data !== '') names.add(data);
    else for (const name of fieldsOf(types[index])) names.add(name);
  }
  return [...names];
}

/** Parameter decorators leave their metadata with the class that declares the method. */
function hostOf(controller: Type, methodName: string): Type {
  for (let at: Type = controller; typeof at.prototype === 'object'; at = Object.getPrototypeOf(at) as Type) {
    if (Object.hasOwn(at.prototype as object, methodName)) return at;
  }
  return controller;
}

function fieldsOf(dto: unknown): string[] {
  if (typeof dto !== 'function' || [Object, String, Number, Boolean, Array, Date].includes(dto as never)) return [];
  const prototype = dto.prototype as object | undefined;
  if (prototype === undefined) return [];
  return [
    ...instanceFields(dto as Type),
    ...validatedFields(dto),
    ...documentedFields(prototype),
    ...PAGE_PARAMETERS.filter((name) => Reflect.hasMetadata('design:type', prototype, name)),
  ];
}

/** With class fields as the language has them, a new object has all that are declared. */
function instanceFields(dto: Type): string[] {
  try {
    return Object.keys(new dto() as object);
  } catch {
    return [];
  }
}

function validatedFields(dto: unknown): string[] {
  const storage = (globalThis as { classValidatorMetadataStorage?: ValidatorStorage }).classValidatorMetadataStorage;
  const found = storage?.getTargetValidationMetadatas(dto, '', false, false) ?? [];
  return found.map(({ propertyName }) => propertyName).filter((name) => typeof name === 'string');
}

/** @nestjs/swagger lists them as `:page`. */
function documentedFields(prototype: object): string[] {
  const listed = Reflect.getMetadata('swagger/apiModelPropertiesArray', prototype) as string[] | undefined;
  return (listed ?? []).map((name) => name.slice(1));
}
