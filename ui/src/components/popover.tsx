'use client'
import { Popover as Radix } from 'radix-ui'
import type { ReactNode } from 'react'

/** More about something, beside it, on demand. `trigger` is one button. */
export function Popover({ trigger, label, children }: { trigger: ReactNode; label: string; children: ReactNode }) {
  return (
    <Radix.Root>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          aria-label={label}
          sideOffset={6}
          collisionPadding={12}
          className="z-40 w-[min(24rem,calc(100vw-1.5rem))] animate-appear rounded-xl border border-line bg-surface p-4 text-sm shadow-float outline-none"
        >
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}
