import Cryptoki
import Testing
import TokenProtocol

@testable import TokenService

@Suite("The index of objects")
struct ObjectIndexTests {
  private func object(_ handle: UInt64, label: String, id: [UInt8] = [], _ objectClass: ObjectClass = .data) -> Object {
    var attributes = AttributeSet()
    attributes.set(.class, objectClass.rawValue)
    attributes.set(.label, Array(label.utf8))
    attributes.set(.id, id)
    let session = handle % 3 == 0 ? nil : UInt32(handle % 7)
    return Object(handle: handle, attributes: attributes, material: nil, session: session)
  }

  private func set(_ attributes: [Attribute]) -> AttributeSet {
    var set = AttributeSet()
    for attribute in attributes {
      if case .bytes(let value) = attribute.value { set.set(attribute.type, value) }
    }
    return set
  }

  private func candidates(_ index: ObjectIndex, _ template: AttributeSet) -> [Object] {
    var found: [Object] = []
    index.appendCandidates(for: ObjectIndex.Keys(template), to: &found)
    return found
  }

  private func found(_ index: ObjectIndex, _ attributes: Attribute...) -> Set<UInt64> {
    let template = set(attributes)
    return Set(candidates(index, template).filter { $0.attributes.contains(all: template) }.map(\.handle))
  }

  @Test("it finds what a list would find, whatever was added, changed and removed before")
  func likeAList() {
    var random = SystemRandomNumberGenerator()
    var index = ObjectIndex()
    var list: [UInt64: Object] = [:]
    for step in 0..<6000 {
      let handle = UInt64.random(in: 0..<700, using: &random)
      if step % 3 == 2 {
        #expect(index.remove(handle)?.handle == list.removeValue(forKey: handle)?.handle)
      } else {
        let new = object(
          handle, label: "label \(handle % 50)", id: handle % 4 == 0 ? [] : [UInt8(handle % 200)],
          step % 2 == 0 ? .data : .certificate)
        index.insert(new)
        list[handle] = new
      }
      #expect(index.count == list.count)
      guard step % 200 == 0 else { continue }
      #expect(Set(index.all.map(\.handle)) == Set(list.keys))
      for wanted in 0..<700 as Range<UInt64> { #expect(index[wanted] === list[wanted]) }
      for session: UInt32 in 0..<8 {
        #expect(
          Set(index.objects(of: session).map(\.handle))
            == Set(list.values.filter { $0.session == session }.map(\.handle)))
      }
      for number in 0..<50 {
        let label = Array("label \(number)".utf8)
        #expect(
          found(index, Attribute(.label, .bytes(label)))
            == Set(list.values.filter { $0.attributes.bytes(.label) == label }.map(\.handle)))
        let id = [UInt8(number * 4 + 1)]
        let certificate = Attribute(.class, .bytes(ObjectClass.certificate.rawValue.attributeBytes))
        #expect(
          found(index, certificate, Attribute(.id, .bytes(id)))
            == Set(
              list.values.filter { $0.attributes.bytes(.id) == id && $0.objectClass == .certificate }.map(\.handle)))
      }
    }
  }

  @Test("candidates are those of the attribute that tells most")
  func shortest() {
    var index = ObjectIndex()
    for handle in 0..<1000 as Range<UInt64> {
      index.insert(object(handle, label: "all the same", id: [1, UInt8(handle % 250)]))
    }
    index.insert(object(5000, label: "all the same", id: [9], .certificate))
    let label = Attribute(.label, .bytes(Array("all the same".utf8)))
    #expect(candidates(index, set([label, Attribute(.id, .bytes([1, 7]))])).count == 4)
    let certificate = Attribute(.class, .bytes(ObjectClass.certificate.rawValue.attributeBytes))
    #expect(candidates(index, set([label, certificate])).map(\.handle) == [5000])
    #expect(candidates(index, set([label, Attribute(.id, .bytes([2]))])).isEmpty)
    #expect(candidates(index, set([Attribute(.id, .bytes([]))])).count == 1001, "nothing tells nothing")
  }

  @Test("handles at the ends of the range are handles like any other")
  func extremes() {
    var index = ObjectIndex()
    for handle in [0, 1, UInt64.max, UInt64.max - 1, 1 << 32, 1 << 63] { index.insert(object(handle, label: "x")) }
    #expect(index.count == 6)
    for handle in [0, 1, UInt64.max, UInt64.max - 1, 1 << 32, 1 << 63] {
      #expect(index.remove(handle)?.handle == handle)
      #expect(index[handle] == nil)
    }
    #expect(candidates(index, AttributeSet()).isEmpty)
  }

  @Test("the hash tells apart values of all lengths, and is one for the same bytes wherever they lie")
  func hash() {
    var seen: Set<UInt64> = []
    for count in 0...70 {
      let value = [UInt8](repeating: 0, count: count)
      seen.insert(value.withUnsafeBytes { KeyedHash.of($0) })
      for place in value.indices {
        var changed = value
        changed[place] = 1
        let hash = changed.withUnsafeBytes { KeyedHash.of($0) }
        seen.insert(hash)
        let shifted = [9] + changed
        #expect(shifted.withUnsafeBytes { KeyedHash.of(UnsafeRawBufferPointer(rebasing: $0[1...])) } == hash)
      }
    }
    #expect(seen.count == 71 + 70 * 71 / 2)
    #expect(Set((0..<1000).map { KeyedHash.of($0) }).count == 1000)
  }
}
