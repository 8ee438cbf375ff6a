import { onTestFinished } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import type { EngineOptions } from '../../src/core/engine.options.js';
import { MemoryStore } from '../../src/stores/memory/memory.store.js';

/** Fails whatever it is asked while it is down. */
export class BrokenStore extends MemoryStore {
  isDown = false;

  override async read(...asked: Parameters<MemoryStore['read']>): ReturnType<MemoryStore['read']> {
    this.#check();
    return super.read(...asked);
  }

  override async acquire(...asked: Parameters<MemoryStore['acquire']>): ReturnType<MemoryStore['acquire']> {
    this.#check();
    return super.acquire(...asked);
  }

  override async fill(...asked: Parameters<MemoryStore['fill']>): ReturnType<MemoryStore['fill']> {
    this.#check();
    return super.fill(...asked);
  }

  override async write(...asked: Parameters<MemoryStore['write']>): ReturnType<MemoryStore['write']> {
    this.#check();
    return super.write(...asked);
  }

  override async remove(...asked: Parameters<MemoryStore['remove']>): ReturnType<MemoryStore['remove']> {
    this.#check();
    return super.remove(...asked);
  }

  override async tokens(...asked: Parameters<MemoryStore['tokens']>): ReturnType<MemoryStore['tokens']> {
    this.#check();
    return super.tokens(...asked);
  }

  override async rotate(...asked: Parameters<MemoryStore['rotate']>): ReturnType<MemoryStore['rotate']> {
    this.#check();
    return super.rotate(...asked);
  }

  override async now(): Promise<number> {
    this.#check();
    return super.now();
  }

  #check(): void {
    if (this.isDown) throw new Error('down');
  }
}

/** An open engine, closed when the test is over. */
export function engineOn(store: MemoryStore, options: Partial<EngineOptions> = {}): CacheEngine {
  const engine = new CacheEngine({ store, ...options });
  onTestFinished(() => engine.close());
  engine.open();
  return engine;
}
