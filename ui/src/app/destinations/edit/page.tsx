import { EditPage } from '@/features/destinations/edit'

export const metadata = { title: 'New destination' }

export default function Page() {
  return <EditPage />
}
