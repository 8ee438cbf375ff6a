import 'reflect-metadata';
import type { INestApplication, ModuleMetadata, Provider, Type } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test, type TestingModule, type TestingModuleBuilder } from '@nestjs/testing';

export type Platform = 'express' | 'fastify';
type Imports = NonNullable<ModuleMetadata['imports']>;

const open: Array<{ close(): Promise<void> }> = [];

/** To be called after each test. */
export async function closeAll(): Promise<void> {
  for (const app of open.splice(0)) await app.close();
}

/** An application without HTTP. */
export async function boot(imports: Imports, providers: Provider[] = []): Promise<TestingModule> {
  const app = await Test.createTestingModule({ imports, providers }).compile();
  open.push(app);
  await app.init();
  return app;
}

/** What stops the boot. */
export async function bootError(imports: Imports, providers: Provider[] = []): Promise<Error> {
  const before = open.length;
  try {
    await boot(imports, providers);
  } catch (error) {
    // In Nest 11 it says again why.
    for (const failed of open.splice(before)) await failed.close().catch(() => undefined);
    return error as Error;
  }
  throw new Error('the application has started');
}

export interface Served {
  readonly app: INestApplication;
  readonly url: string;
}

/** An application that listens on a free port of the loopback interface. */
export async function serve(
  platform: Platform,
  metadata: { imports: Imports; controllers: Type[]; providers?: Provider[] },
  prepare: (app: INestApplication) => unknown = () => undefined,
  override: (builder: TestingModuleBuilder) => TestingModuleBuilder = (builder) => builder,
): Promise<Served> {
  const testing = await override(Test.createTestingModule(metadata)).compile();
  const app: INestApplication =
    platform === 'express'
      ? testing.createNestApplication(new ExpressAdapter())
      : testing.createNestApplication(new FastifyAdapter());
  open.push(app);
  await prepare(app);
  await app.listen(0, '127.0.0.1');
  const { port } = (app.getHttpServer() as { address(): { port: number } }).address();
  return { app, url: `http://127.0.0.1:${port}` };
}
