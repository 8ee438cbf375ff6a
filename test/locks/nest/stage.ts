import type { ServerResponse } from 'node:http';
import {
  Injectable,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import type { Observable } from 'rxjs';
import { MemoryLockStore } from '../../../src/index.js';
import { until } from '../../faults/subject.js';
import { gate } from '../subject.js';

type Gate = ReturnType<typeof gate<void>>;

/** What one request of a test does, and what has happened, in order. */
export class Stage {
  readonly log: string[] = [];
  private isEnded = false;
  private readonly gates = new Map<string, Gate>();

  constructor(readonly id: string) {}

  note(event: string): void {
    this.log.push(event);
  }

  /** Waits at a gate of this name until the test opens it. */
  at(name: string): Promise<void> {
    return this.gate(name).opened;
  }

  open(name: string): void {
    this.gate(name).open();
  }

  /** Who would release too early has had the chance: nothing on the way to it waits for a timer. If it comes later still, the log tells. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  seen(event: string): Promise<unknown> {
    return until(async () => this.log.includes(event), 3000);
  }

  /** Nobody waits any more, nor will. */
  end(): void {
    this.isEnded = true;
    for (const { open } of this.gates.values()) open();
  }

  private gate(name: string): Gate {
    let found = this.gates.get(name);
    if (!found) this.gates.set(name, (found = gate()));
    if (this.isEnded) found.open();
    return found;
  }
}

const stages = new Map<string, Stage>();
let made = 0;

export function newStage(): Stage {
  const stage = new Stage(`s${++made}`);
  stages.set(stage.id, stage);
  return stage;
}

/** To be called after each test, so that one that fails leaves nobody waiting. */
export function endStages(): void {
  for (const stage of stages.values()) stage.end();
  stages.clear();
}

export function stageOf(id: string): Stage {
  const stage = stages.get(id);
  if (!stage) throw new Error('no such stage');
  return stage;
}

/** Locks of `['policy', id]` that tell the stage when they are given up. */
export class ToldLocks extends MemoryLockStore {
  override async release(key: string, owner: string): ReturnType<MemoryLockStore['release']> {
    const outcome = await super.release(key, owner);
    const id = /policy\/(\w+)/.exec(key)?.[1];
    if (id && outcome === 'released') stages.get(id)?.note('released');
    return outcome;
  }
}

/** By the `id` of a request's path, or of a message. */
export function stageOfCall(context: ExecutionContext): Stage {
  const first = { http: 0, rpc: 0, ws: 1, graphql: 1 }[context.getType<'http' | 'rpc' | 'ws' | 'graphql'>()];
  const message = context.getArgByIndex<{ id?: string; params?: { id: string } }>(first);
  return stageOf(String(message.params?.id ?? message.id));
}

/** Before all others: tells the stage that the connection is gone. */
@Injectable()
export class WatchClose implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const response = context.switchToHttp().getResponse<ServerResponse & { raw?: ServerResponse }>();
    const stage = stageOfCall(context);
    (response.raw ?? response).once('close', () => stage.note('closed'));
    return true;
  }
}

/** An interceptor made of a function. */
export function around(
  run: (stage: Stage, next: CallHandler) => Observable<unknown> | Promise<Observable<unknown>>,
): NestInterceptor {
  return { intercept: (context, next) => run(stageOfCall(context), next) };
}
