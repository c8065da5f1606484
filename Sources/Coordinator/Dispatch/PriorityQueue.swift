/// Elements in an order that need not be total: a binary heap, with the element that precedes all others at the front.
package struct PriorityQueue<Element> {
    private var heap: [Element] = []
    private let precedes: (Element, Element) -> Bool

    package init(_ precedes: @escaping (Element, Element) -> Bool) { self.precedes = precedes }

    package var first: Element? { heap.first }

    package mutating func add(_ element: Element) {
        heap.append(element)
        var child = heap.count - 1
        while child > 0, precedes(heap[child], heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// Removes the element at the front, which must exist.
    @discardableResult package mutating func removeFirst() -> Element {
        heap.swapAt(0, heap.count - 1)
        let first = heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && precedes(heap[child], heap[least]) { least = child }
            guard least != parent else { return first }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
