import { Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { TieredCacheModule, tieredCacheConfig } from 'nestjs-tiered-cache';
import { Origin } from './origin.js';
import { ProxyController } from './proxy.controller.js';

@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true, load: [tieredCacheConfig] }),
    TieredCacheModule.forRootAsync(tieredCacheConfig.asProvider()),
  ],
  controllers: [ProxyController],
  providers: [Origin],
})
export class AppModule {}
