import { Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { TieredCacheModule, tieredCacheConfig } from 'nestjs-tiered-cache';
import { BestsellersController } from './bestsellers.controller.js';
import { BestsellersService } from './bestsellers.service.js';
import { Upstream } from './upstream.js';

@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true, load: [tieredCacheConfig] }),
    TieredCacheModule.forRootAsync(tieredCacheConfig.asProvider()),
  ],
  controllers: [BestsellersController],
  providers: [BestsellersService, Upstream],
})
export class AppModule {}
