import { Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { APP_FILTER } from '@nestjs/core';
import { TieredCacheModule, tieredCacheConfig } from 'nestjs-tiered-cache';
import { Database } from './database.js';
import { LockErrorFilter } from './lock-error.filter.js';
import { PaymentProvider } from './payment-provider.js';
import { PoliciesController } from './policies.controller.js';
import { Redemptions } from './redemptions.service.js';

@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true, load: [tieredCacheConfig] }),
    TieredCacheModule.forRootAsync(tieredCacheConfig.asProvider()),
  ],
  controllers: [PoliciesController],
  providers: [Database, PaymentProvider, Redemptions, { provide: APP_FILTER, useClass: LockErrorFilter }],
})
export class AppModule {}
