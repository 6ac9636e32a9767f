'use client'
/**
 * A question in front of the page: in the middle of a screen, at the foot of a phone. Focus stays in it, Escape closes it.
 *
 * The veil is an element of our own, not Radix's Overlay: that one writes a <style> element to stop the page from
 * scrolling, which the page's Content-Security-Policy forbids. The style sheet does that instead, by [data-modal].
 */
import { Dialog as Radix } from 'radix-ui'
import { useState, type ReactNode, type RefObject } from 'react'
import { Icon } from './icons'

interface Props {
  title: ReactNode
  description?: ReactNode
  onClose: () => void
  children: ReactNode
  footer?: ReactNode
  /** Gets the focus first; otherwise the first control does. */
  first?: RefObject<HTMLElement | null>
}

export function Dialog({ title, description, onClose, children, footer, first }: Props) {
  const [before] = useState(() => document.activeElement)
  return (
    <Radix.Root open onOpenChange={(open) => !open && onClose()}>
      <Radix.Portal>
        <div className="fixed inset-0 z-40 animate-[late_120ms] bg-[rgb(8_10_14/0.5)]" aria-hidden="true" />
        <Radix.Content
          data-modal=""
          {...(description ? {} : { 'aria-describedby': undefined })}
          onOpenAutoFocus={(event) => {
            if (!first?.current) return
            event.preventDefault()
            first.current.focus()
          }}
          onCloseAutoFocus={(event) => {
            event.preventDefault()
            const back = before instanceof HTMLElement && before.isConnected ? before : document.querySelector('main')
            back?.focus({ preventScroll: true })
          }}
          className={
            'fixed inset-x-0 bottom-0 z-50 mx-auto flex max-h-[92dvh] w-full max-w-xl animate-appear flex-col rounded-t-2xl ' +
            'border border-line bg-surface shadow-float outline-none sm:inset-y-0 sm:my-auto sm:h-fit sm:rounded-2xl'
          }
        >
          <header className="flex items-start gap-3 px-5 pt-5 pb-3">
            <div className="min-w-0 flex-1">
              <Radix.Title className="text-lg leading-snug font-semibold">{title}</Radix.Title>
              {description && <Radix.Description className="mt-1 text-muted">{description}</Radix.Description>}
            </div>
            <Radix.Close
              aria-label="Close"
              className="-mt-1 -mr-2 grid size-9 place-items-center rounded-lg text-muted hover:bg-sunken hover:text-text"
            >
              <Icon name="close" />
            </Radix.Close>
          </header>
          <div className="min-h-0 flex-1 overflow-y-auto px-5 pb-4">{children}</div>
          {footer && <footer className="flex flex-wrap justify-end gap-2 border-t border-line px-5 py-4">{footer}</footer>}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}
