import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Specs that take more than twenty seconds, the longest first. */
const LONGEST = [
  'races/no-resurrection',
  'nest/sample-03',
  'http/isolation',
  'http/outer-interceptors',
  'packaging/nest-11',
  'processes/warm-up',
  'packaging/consumers',
  'nest/sample-02',
  'core/memory-limits',
  'locks/faults.redis',
  'faults/invalidation-queue',
  'locks/random-schedule',
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
