import { Controller, Get, Inject } from '@nestjs/common';
import {
  InjectCache,
  tieredCacheConfig,
  type CacheCounters,
  type CacheService,
  type TieredCacheOptions,
} from 'nestjs-tiered-cache';

/** Shows the tiers and what each of them has answered since the start. */
@Controller('cache')
export class CacheController {
  constructor(
    @InjectCache('places') private readonly places: CacheService,
    @Inject(tieredCacheConfig.KEY) private readonly options: TieredCacheOptions,
  ) {}

  @Get()
  async show(): Promise<object> {
    const { remote, isHeard } = await this.places.explain('any key');
    return {
      remote: { store: storeName(this.options), isDown: remote.state === 'unreachable', hearsOthers: isHeard },
      namespaces: {
        // Where @CachePage() keeps responses.
        http: summary(this.places.namespace('http').stats()),
        places: summary(this.places.stats()),
      },
    };
  }
}

function summary(counters: Readonly<CacheCounters>): object {
  const { requestHits, memoryHits, remoteHits, loads } = counters;
  const hits = requestHits + memoryHits + remoteHits;
  return {
    answeredBy: { request: requestHits, memory: memoryHits, remote: remoteHits, loader: loads },
    hitRatio: hits + loads === 0 ? null : Number((hits / (hits + loads)).toFixed(3)),
    counters,
  };
}

/** Only the scheme: the rest of the URL may hold a password. */
function storeName({ remote }: TieredCacheOptions): string {
  return typeof remote === 'string' ? (remote.split(':')[0] as string) : 'memory';
}
