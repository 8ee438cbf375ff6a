import { Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { TieredCacheModule, tieredCacheConfig } from 'nestjs-tiered-cache';
import { AnswerInterceptor } from './answers/answer.interceptor.js';
import { CacheController } from './cache/cache.controller.js';
import { MeModule } from './me/me.module.js';
import { PlacesModule } from './places/places.module.js';

@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true, load: [tieredCacheConfig] }),
    // Options come from CACHE_* variables; with none of them set everything works inside this process.
    TieredCacheModule.forRootAsync(tieredCacheConfig.asProvider()),
    PlacesModule,
    MeModule,
  ],
  controllers: [CacheController],
  providers: [{ provide: APP_INTERCEPTOR, useClass: AnswerInterceptor }],
})
export class AppModule {}
