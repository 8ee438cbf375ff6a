import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Specs that take a quarter of a minute and more on a quiet machine, the longest first. */
const LONGEST = [
  'races/no-resurrection',
  'http/isolation',
  'nest/sample-03',
  'packaging/consumers',
  'processes/outbox-crash',
  'packaging/nest-11',
  'processes/warm-up',
  'core/memory-limits',
  'nest/sample-02',
  'locks/random-schedule',
  'locks/faults.redis',
  'faults/invalidation-queue',
];

/** Begins with what takes longest, so that no worker is left alone with it at the end. In a fresh checkout vitest knows no durations. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((a, b) => this.place(a) - this.place(b));
  }

  private place({ moduleId }: TestSpecification): number {
    const place = LONGEST.findIndex((name) => moduleId.endsWith(`/test/${name}.spec.ts`));
    return place === -1 ? LONGEST.length : place;
  }
}
